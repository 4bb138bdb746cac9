"""`python -m lightrag_bkp.cli`."""

import sys

from . import main

sys.exit(main())
