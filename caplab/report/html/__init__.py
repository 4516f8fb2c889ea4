"""report.html: a suite's results as one self-contained page: values in, text out; it reads only its own style."""
