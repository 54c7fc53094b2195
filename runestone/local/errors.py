"""What the person at the terminal is told in plain words, without a traceback.

StackError
├── UnsafePathError    a directory of ours that somebody else prepared
├── NoAccountError     no user that Postgres would run as
├── NoServerError      no binary of a server for this machine
├── ServerFailedError  a server that cannot use its data
├── LockedError        somebody else has the lock
├── PortTakenError     a port that another program listens on
├── StepFailedError    a migration or the seed did not succeed
├── ProcessDiedError   a part of the stack ended by itself
└── NotReadyError      the gateway did not come up in time
"""


class StackError(Exception):
    pass


class UnsafePathError(StackError):
    pass


class NoAccountError(StackError):
    pass


class NoServerError(StackError):
    pass


class ServerFailedError(StackError):
    pass


class LockedError(StackError):
    def __init__(self, message: str, holder: int | None) -> None:
        super().__init__(message)
        self.holder = holder


class PortTakenError(StackError):
    pass


class StepFailedError(StackError):
    pass


class ProcessDiedError(StackError):
    pass


class NotReadyError(StackError):
    pass
