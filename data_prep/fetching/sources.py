"""Where UCF101 and HMDB51 are published, and what their archives must hold.

    SOURCES["ucf101"].videos.address

Addresses, sizes and digests are those that public data set loaders (torchvision's
prototypes, TensorFlow Datasets) and users' notes state; `docs/fetch.md` says which
of them are unverified here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """One published archive.

    Attributes:
        address: Of the file; its last part is the official name.
        sha256: Of the file, hexadecimal.
        bytes: Of the file; 0 where no source states it.
        suffix: Of the files in it that are wanted, in lower case.
        files: How many of them it holds.
    """

    address: str
    sha256: str
    bytes: int
    suffix: str
    files: int

    @property
    def name(self) -> str:
        """The official file name."""
        return self.address.rpartition("/")[2]


@dataclass(frozen=True)
class Source:
    """A data set: its videos, its lists, and its home page with the terms of use.

    Attributes:
        title: As its authors write it.
        page: Where its terms, licence and citation are.
        classes: Folders of videos.
        videos: The archive of the videos.
        splits: The archive of the official lists.
    """

    title: str
    page: str
    classes: int
    videos: Archive
    splits: Archive


_UCF = "https://www.crcv.ucf.edu/data/UCF101"
# The address as published is not https; the digest guards the file all the same.
_HMDB = "http://serre-lab.clps.brown.edu/wp-content/uploads/2013/10"

SOURCES = {
    "ucf101": Source(
        title="UCF101",
        page="https://www.crcv.ucf.edu/data/UCF101.php",
        classes=101,
        videos=Archive(
            address=f"{_UCF}/UCF101.rar",
            sha256="ca8dfadb4c891cb11316f94d52b6b0ac2a11994e67a0cae227180cd160bd8e55",
            bytes=6_932_971_618,
            suffix=".avi",
            files=13_320,
        ),
        splits=Archive(
            address=f"{_UCF}/UCF101TrainTestSplits-RecognitionTask.zip",
            sha256="5c0d1a53b8ed364a2ac830a73f405e51bece7d98ce1254fd19ed4a36b224bd27",
            bytes=113_943,
            suffix=".txt",
            files=7,  # classInd, trainlist01..03, testlist01..03
        ),
    ),
    "hmdb51": Source(
        title="HMDB51",
        page="https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/",
        classes=51,
        videos=Archive(
            address=f"{_HMDB}/hmdb51_org.rar",
            sha256="9e714a0d8b76104d76e932764a7ca636f929fff66279cda3f2e326fa912a328e",
            bytes=0,
            suffix=".avi",
            files=6_766,
        ),
        splits=Archive(
            address=f"{_HMDB}/test_train_splits.rar",
            sha256="229c94f845720d01eb3946d39f39292ea962d50a18136484aa47c1eba251d2b7",
            bytes=0,
            suffix=".txt",
            files=153,  # 51 classes x 3 splits
        ),
    ),
}
