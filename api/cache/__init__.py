"""Answers that are kept for a while, for whoever asks for that, and given again to the same call.

terms.py      whether a call wants it, and for how long
likeness.py   which calls are the same
shelf.py      Redis, which may be slow or gone
answers.py    what is kept, sealed, and how it comes back
"""

from api.cache.answers import AnswerCache, Kept, Recording, Slot

__all__ = ["AnswerCache", "Kept", "Recording", "Slot"]
