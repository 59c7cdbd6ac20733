"""A window that shows frames, by Python's own Tk: OpenCV's headless wheel has none.

screen = Screen("stfn")
while screen.show(frame):  # until somebody closes it
    ...
"""

from typing import Any

import numpy as np

from stfn_keras.errors import UserError


class Screen:
    """A window on the screen.

    Args:
        title: Of the window.

    Raises:
        UserError: There is no screen, or Python was built without Tk.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter

            self._window = tkinter.Tk()
        except (ImportError, RuntimeError, _tcl_error()) as error:
            raise UserError(
                f"expected a screen and Python's tkinter to show frames. Received: "
                f"{error}; --headless --out=FILE.mp4 writes a video instead"
            ) from error
        self._window.title(title)
        self._window.protocol("WM_DELETE_WINDOW", self.close)
        self._place = tkinter.Label(self._window)
        self._place.pack()
        self._picture: Any = None
        self._make = tkinter.PhotoImage
        self._open = True

    def show(self, frame: np.ndarray) -> bool:
        """Show uint8 RGB (height, width, 3); False once the window was closed."""
        if not self._open:
            return False
        height, width = frame.shape[:2]
        data = b"P6 %d %d 255 " % (width, height) + frame.tobytes()
        self._picture = self._make(data=data, format="PPM")  # Tk keeps no reference
        self._place.configure(image=self._picture)
        self._window.update()
        return self._open

    def close(self) -> None:
        """Close the window."""
        if self._open:
            self._open = False
            self._window.destroy()


def _tcl_error() -> type[Exception]:
    """Tk's own error; without Tk one that nothing raises."""
    try:
        import _tkinter

        return _tkinter.TclError
    except ImportError:
        return ImportError
