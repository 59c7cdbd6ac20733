"""The command; `python evaluate.py --helpfull` lists every flag."""

from stfn_keras.commands.evaluate import run

if __name__ == "__main__":
    run()
