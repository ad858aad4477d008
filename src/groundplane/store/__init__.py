"""What we remember between runs: secrets, the journal, the lock. The only writer of our own state.

home = Home.find(state_dir, cache_dir)
store = Store(home, spec.name)
with store.lock("up"), recorded(home, spec.name, "up", digest) as journal:
    secrets = store.secrets(make_secrets)
    ...                                     # events go to tee(progress, journal)
"""

from groundplane.store.files import private_folder, put_private, put_tree, read_private, write_private
from groundplane.store.history import JournalEntry, RunOutcome, RunRecord, runs, show
from groundplane.store.home import Home
from groundplane.store.journal import Recorder, recorded
from groundplane.store.lock import Holder, locked, read_holder
from groundplane.store.platform import Store
from groundplane.store.who import Who, alive

__all__ = [
    "Holder",
    "Home",
    "JournalEntry",
    "Recorder",
    "RunOutcome",
    "RunRecord",
    "Store",
    "Who",
    "alive",
    "locked",
    "private_folder",
    "put_private",
    "put_tree",
    "read_holder",
    "read_private",
    "recorded",
    "runs",
    "show",
    "write_private",
]
