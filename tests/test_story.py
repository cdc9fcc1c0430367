"""docs/story.md is what a running server says, and not what somebody thought that it would."""

from pathlib import Path

import story


async def test_the_story_in_the_docs_is_what_happens(tmp_path: Path) -> None:
    told = await story.tell(tmp_path)
    assert told == story.PAGE.read_text("utf-8"), "run `make story` and read the change"
