"""The tasks that models are recorded for: the class that answers each, and the inputs of a call."""

import json

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForSpeechSeq2Seq,
    AutoModelForTokenClassification,
    AutoModelForZeroShotImageClassification,
)
from transformers.models.auto import modeling_auto

CAUSAL_LM = "causal-lm"
IMAGE_CLASSIFICATION = "image-classification"
IMAGE_TEXT = "image-text"
SEQ2SEQ = "seq2seq"
SPEECH_SEQ2SEQ = "speech-seq2seq"


class Task:
    """What a model is called for."""

    def __init__(self, name, auto, types, labels):
        """`labels` makes the targets of a batch from its token ids or its images, by the names of the arguments."""
        self.name, self.auto, self.types, self.labels = name, auto, types, labels

    @property
    def is_causal(self):
        """Whether the caller may pass a cache of keys and values, and ask for logits of some positions only."""
        return self.name == CAUSAL_LM

    @property
    def reads_images(self):
        """Whether a call has `pixel_values`, and no mask."""
        return self.name in (IMAGE_CLASSIFICATION, IMAGE_TEXT)

    @property
    def reads_speech(self):
        """Whether a call has `input_features`, and no mask."""
        return self.name == SPEECH_SEQ2SEQ

    @property
    def has_masks(self):
        """Whether a call may have an `attention_mask`."""
        return not (self.reads_images or self.reads_speech)

    @property
    def reads_text(self):
        """Whether a call has token ids."""
        return self.name not in (IMAGE_CLASSIFICATION, SPEECH_SEQ2SEQ)

    @property
    def has_decoder(self):
        """Whether the model makes a cache of keys and values by itself."""
        return self.name == CAUSAL_LM or self.has_encoder_and_decoder

    @property
    def has_encoder_and_decoder(self):
        """Whether the model reads one text, or speech, and writes another text."""
        return self.name in (SEQ2SEQ, SPEECH_SEQ2SEQ)

    def model_class(self, config):
        """The class that answers the task for a config: the first of several, as the auto class takes it."""
        found = self.auto._model_mapping[type(config)]
        return found[0] if isinstance(found, tuple) else found

    def requirements(self):
        """The header's lines about switches of encoders, of which every recording has the usual value."""
        if self.has_decoder:
            return []
        usual = {"is_decoder": False, "add_cross_attention": False, "chunk_size_feed_forward": 0}
        if self.reads_images:
            usual = {}
        lines = [f"require {key} {json.dumps(value)}" for key, value in usual.items()]
        if self.counts_labels or self.name == "question-answering":
            lines.insert(0, "default num_labels 2")
        if self.name in ("sequence-classification", IMAGE_CLASSIFICATION):
            lines.append('require problem_type null "single_label_classification"')
        if self.name == "question-answering":
            # The class takes its scores apart into those of the start and of the end.
            lines.append("require num_labels 2")
        return lines

    @property
    def counts_labels(self):
        """Whether the model has an output for each label of its config."""
        return self.name.endswith("-classification")

    def prepare(self, config):
        """Gives a config of one of the recordings as many labels as no other size has."""
        if self.counts_labels:
            config.num_labels = int(config.num_hidden_layers) + 9

    def file_name(self, model_type):
        """The program's file: causal language models need no word for their task."""
        return f"{model_type}.program" if self.is_causal else f"{model_type}.{self.name}.program"


def _same(ids):
    return {"labels": ids.clone()}


def _one_of_each_sample(inputs):
    return {"labels": torch.zeros(inputs.shape[0], dtype=torch.long)}


def _of_another_length(ids):
    return {"labels": torch.ones(ids.shape[0], ids.shape[1] + 5, dtype=torch.long)}


def _zeros(ids):
    return {"labels": torch.zeros_like(ids)}


def _none(_ids):
    return {}


def _positions(ids):
    one = torch.zeros(ids.shape[0], dtype=torch.long)
    return {"start_positions": one, "end_positions": one.clone()}


TASKS = {
    name: Task(name, auto, getattr(modeling_auto, f"MODEL_FOR_{types}_MAPPING_NAMES"), labels)
    for name, auto, types, labels in [
        (CAUSAL_LM, AutoModelForCausalLM, "CAUSAL_LM", _same),
        ("masked-lm", AutoModelForMaskedLM, "MASKED_LM", _same),
        (
            "sequence-classification",
            AutoModelForSequenceClassification,
            "SEQUENCE_CLASSIFICATION",
            _one_of_each_sample,
        ),
        ("token-classification", AutoModelForTokenClassification, "TOKEN_CLASSIFICATION", _zeros),
        (IMAGE_CLASSIFICATION, AutoModelForImageClassification, "IMAGE_CLASSIFICATION", _one_of_each_sample),
        (IMAGE_TEXT, AutoModelForZeroShotImageClassification, "ZERO_SHOT_IMAGE_CLASSIFICATION", _none),
        ("question-answering", AutoModelForQuestionAnswering, "QUESTION_ANSWERING", _positions),
        (SEQ2SEQ, AutoModelForSeq2SeqLM, "SEQ_TO_SEQ_CAUSAL_LM", _of_another_length),
        (SPEECH_SEQ2SEQ, AutoModelForSpeechSeq2Seq, "SPEECH_SEQ_2_SEQ", _of_another_length),
    ]
}

# The names of a batch's targets, whatever the task.
TARGETS = ("labels", "start_positions", "end_positions")
