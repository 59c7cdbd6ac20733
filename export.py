"""The command; `python export.py --helpfull` lists every flag."""

from stfn_keras.commands.export import run

if __name__ == "__main__":
    run()
