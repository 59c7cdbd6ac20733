"""The command `python -m stfn_keras.training.publish RUN`."""

if __name__ == "__main__":
    from stfn_keras.commands.publish import run

    run()
