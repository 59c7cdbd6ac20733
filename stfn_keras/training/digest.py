"""The command `python -m stfn_keras.training.digest RUN`."""

if __name__ == "__main__":
    from stfn_keras.commands.digest import run

    run()
