"""The command; `python train.py --helpfull` lists every flag."""

from stfn_keras.commands.train import run

if __name__ == "__main__":
    run()
