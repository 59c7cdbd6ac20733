"""Ask a model server for scores: TensorFlow Serving, KServe or Triton.

client = Client.open("localhost:8500", Path("models/stfn/1/assets.extra/config.json"))
client.predict_video(Path("clip.avi")).top(5)  # [("PushUps", 0.93), ...]
"""

from stfn_keras.serving.client.client import Answer, Client

__all__ = ["Answer", "Client"]
