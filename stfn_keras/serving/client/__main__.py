"""`python -m stfn_keras.serving.client`, which is `stfn_keras.commands.client`."""

if __name__ == "__main__":
    from stfn_keras.commands.client import run

    run()
