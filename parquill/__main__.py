"""`python -m parquill`: the command line, where the script is not on the path."""

from parquill.cli import main

if __name__ == "__main__":
    main()
