"""`python -m stfn_keras.evaluation.compare`, which is `stfn_keras.commands.compare`."""

if __name__ == "__main__":
    from stfn_keras.commands.compare import run

    run()
