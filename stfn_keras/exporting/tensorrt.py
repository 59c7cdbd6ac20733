"""The command `python -m stfn_keras.exporting.tensorrt`."""

if __name__ == "__main__":
    from stfn_keras.commands.tensorrt import run

    run()
