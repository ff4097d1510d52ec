"""The former path of `python -m keras_otel.diagnostics.probe`."""

import sys

from keras_otel.diagnostics.probe import main

if __name__ == "__main__":
    sys.exit(main())
