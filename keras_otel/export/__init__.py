"""The SDK that `export=` sets up, and how everything that was recorded leaves the process."""
