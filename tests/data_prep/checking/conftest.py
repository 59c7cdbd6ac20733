"""The local S3 server of the tests of remote data."""

from data.conftest import bucket, s3_server, upload

__all__ = ["bucket", "s3_server", "upload"]
