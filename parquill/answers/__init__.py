"""Typed answers: from a JSON Schema to request settings, and from a model's words to Arrow columns."""

from parquill.answers.parse import Answer
from parquill.answers.rungs import Rung, refuses_rung
from parquill.answers.shape import AnswerShape, load_shape

__all__ = ["Answer", "AnswerShape", "Rung", "load_shape", "refuses_rung"]
