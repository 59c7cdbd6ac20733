"""`python -m stfn_keras.experiments.ablate`, which is `stfn_keras.commands.ablate`."""

if __name__ == "__main__":
    from stfn_keras.commands.ablate import run

    run()
