"""The official archives: downloaded, unpacked, checked."""
