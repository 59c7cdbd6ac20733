"""`python -m stfn_keras.data.benchmark`, `stfn_keras.commands.benchmark_data`."""

if __name__ == "__main__":
    from stfn_keras.commands.benchmark_data import run

    run()
