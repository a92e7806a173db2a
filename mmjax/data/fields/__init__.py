"""Kinds of columns: Image, Patches, Audio, Video, Text, Sensor, Table go in; Class, Classes, Number should come out."""

from mmjax.data.fields.audio import Audio
from mmjax.data.fields.field import Field
from mmjax.data.fields.image import Image
from mmjax.data.fields.label import Class, Classes
from mmjax.data.fields.number import Number
from mmjax.data.fields.packed import Packed, Several
from mmjax.data.fields.passage import Next, Passage
from mmjax.data.fields.patches import Patches
from mmjax.data.fields.prompt import Prompt, Reply
from mmjax.data.fields.ranked import Answers, Ranked, Worth
from mmjax.data.fields.readings import Follows, Readings
from mmjax.data.fields.sensor import Sensor
from mmjax.data.fields.table import Table
from mmjax.data.fields.text import Text
from mmjax.data.fields.video import Video

__all__ = [
    "Answers",
    "Audio",
    "Class",
    "Classes",
    "Field",
    "Follows",
    "Image",
    "Next",
    "Number",
    "Packed",
    "Passage",
    "Patches",
    "Prompt",
    "Ranked",
    "Readings",
    "Reply",
    "Sensor",
    "Several",
    "Table",
    "Text",
    "Video",
    "Worth",
]
