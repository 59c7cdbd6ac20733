"""The command `python -m stfn_keras.serving.live --model MODEL --source SOURCE`."""

if __name__ == "__main__":
    from stfn_keras.commands.live import run

    run()
