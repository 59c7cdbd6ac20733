"""The command; `python predict.py --helpfull` lists every flag."""

from stfn_keras.commands.predict import run

if __name__ == "__main__":
    run()
