"""`python -m stfn_keras.evaluation.explain`, which is `stfn_keras.commands.explain`."""

if __name__ == "__main__":
    from stfn_keras.commands.explain import run

    run()
