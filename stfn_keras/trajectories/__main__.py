"""`python -m stfn_keras.trajectories`, which is `stfn_keras.commands.trajectories`."""

if __name__ == "__main__":
    from stfn_keras.commands.trajectories import run

    run()
