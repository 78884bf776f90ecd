"""Close the files of a lake to other users of the machine, also those that an older version left open."""

import os
import stat
from pathlib import Path

from lake_assets.home import Home, HomeError
from lake_assets.local_files import UMASK
from lake_assets.stack.postgres import is_group_of_postgres


def close_files(layout: Home) -> int:
    """Remove all rights of group and others below the home; return the number of changed files and folders.

    A home that is closed is not walked: no other user gets below it. The home itself is closed last, so that an
    interrupted repair is repeated. Raises HomeError for files of another owner.
    """
    info = layout.home.stat()
    mode = stat.S_IMODE(info.st_mode)
    if not mode & UMASK or (mode == 0o710 and is_group_of_postgres(info.st_gid)):
        return 0
    changed = 0
    for folder, folders, files in os.walk(layout.home, topdown=False):
        changed += sum(_close(Path(folder, name)) for name in (*files, *folders))
    return changed + _close(layout.home)


def _close(path: Path) -> bool:
    """Close one file or folder, not what a link leads to. Return True if it was open."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode) or not mode & UMASK:
            return False
        path.chmod(stat.S_IMODE(mode) & ~UMASK)
    except FileNotFoundError:  # removed by a running part
        return False
    except PermissionError:
        raise HomeError(
            f"'{path}' can be read by other users and is not yours to close: give it to this user."
        ) from None
    return True
