"""The content of a folder of event files, read by TensorBoard and printed as JSON.

events.py FOLDER
"""

import json
import sys

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

folder = sys.argv[1]
# 0: without subsampling.
events = EventAccumulator(folder, size_guidance={"scalars": 0, "histograms": 0, "tensors": 0})
events.Reload()
found = {"scalars": {}, "histograms": {}, "text": {}, "hparams": {}}
for tag in events.Tags()["scalars"]:
    found["scalars"][tag] = [[event.step, event.value] for event in events.Scalars(tag)]
for tag in events.Tags()["histograms"]:
    last = events.Histograms(tag)[-1].histogram_value
    names = ("min", "max", "num", "sum", "sum_squares")
    found["histograms"][tag] = {name: getattr(last, name) for name in names}
    found["histograms"][tag]["buckets"] = list(last.bucket)
for tag in events.Tags()["tensors"]:
    if events.SummaryMetadata(tag).plugin_data.plugin_name == "text":
        found["text"][tag] = events.Tensors(tag)[-1].tensor_proto.string_val[0].decode()


def value(of):
    return getattr(of, of.WhichOneof("kind"))


multiplexer = EventMultiplexer().AddRun(folder, "run")
multiplexer.Reload()
provider = MultiplexerDataProvider(multiplexer, folder)
# Event files of this version keep hyper-parameters in the metadata of a tag.
tags = multiplexer.PluginRunToTagToContent("hparams").get("run", {})
if metadata.SESSION_START_INFO_TAG in tags:
    start = metadata.parse_session_start_info_plugin_data(tags[metadata.SESSION_START_INFO_TAG])
    found["hparams"] = {name: value(of) for name, of in start.hparams.items()}
    end = metadata.parse_session_end_info_plugin_data(tags[metadata.SESSION_END_INFO_TAG])
    found["status"] = type(end).DESCRIPTOR.fields_by_name["status"].enum_type.values_by_number[
        end.status
    ].name

    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams.backend_context import Context

    context = Context(TBContext(logdir=folder, data_provider=provider))
    request = RequestContext()
    tag_map = context.hparams_metadata(request, "")
    page = context.experiment_from_metadata(request, "", True, tag_map, [])
    found["hparams_page"] = sorted(info.name for info in page.hparam_infos)
json.dump(found, sys.stdout)
