"""The gateway as the tests start it: `runestone.asgi`, and somebody who sees what it answers."""

import os
from pathlib import Path

from runestone.asgi import application as gateway
from tests.contract.witness.attended import Attended
from tests.contract.witness.record import DIRECTORY, Witness

application = Attended(gateway, Witness(Path(os.environ[DIRECTORY])))
