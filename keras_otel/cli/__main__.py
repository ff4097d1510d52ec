"""`python -m keras_otel.cli`: the command line under the Python of your service."""

import sys

from keras_otel.cli import main

if __name__ == "__main__":
    sys.exit(main())
