"""Which user the servers run as. Postgres refuses root, so root lends them another one."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from runestone.local.errors import NoAccountError
from runestone.local.paths import PRIVATE, claim_private_directory

SERVICE_USER = "nobody"
ENTERABLE = 0o711


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int
    lent: bool  # by root, so that files have to be handed over

    def can_enter(self, directory: Path) -> None:
        """Let this account through to what it owns below, whatever the umask was."""
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(ENTERABLE if self.lent else PRIVATE)

    def own(self, directory: Path) -> None:
        """Make `directory` this account's own and nobody else's."""
        claim_private_directory(directory, owners=(os.getuid(), self.uid))
        if self.lent:
            os.chown(directory, self.uid, self.gid)


def server_account() -> Account:
    wanted = SERVICE_USER if os.getuid() == 0 else os.getuid()
    try:
        found = pwd.getpwuid(wanted) if isinstance(wanted, int) else pwd.getpwnam(wanted)
    except KeyError:
        # initdb asks the same and gives up ("could not look up effective user ID").
        raise NoAccountError(
            f"There is no user {wanted} on this machine, and Postgres needs one."
            " Set DATABASE_URL and REDIS_URL to servers of your own."
        ) from None
    return Account(uid=found.pw_uid, gid=found.pw_gid, lent=os.getuid() == 0)
