"""Asking: takes one row from its prompt to its result (conversation, attempts, refusals)."""

from parquill.asking.attempt_log_check import RunEvidence, accept_what_stands, lost_lines
from parquill.asking.attempts import Attempts
from parquill.asking.conversation import ConversationContext, Conversations
from parquill.asking.conversation_state import figures_of
from parquill.asking.endpoint_refusals import EndpointRefusals
from parquill.asking.output_mode import OutputModeChoice
from parquill.asking.refusals import HeldError, Refusal
from parquill.asking.request_bodies import job_dialect, request_settings
from parquill.asking.request_forms import FormChoice
from parquill.asking.row_costs import RowCosts
from parquill.asking.row_state import Pictures, RowRef, RowState

__all__ = [
    "Attempts",
    "ConversationContext",
    "Conversations",
    "EndpointRefusals",
    "FormChoice",
    "HeldError",
    "OutputModeChoice",
    "Pictures",
    "Refusal",
    "RowCosts",
    "RowRef",
    "RowState",
    "RunEvidence",
    "accept_what_stands",
    "figures_of",
    "job_dialect",
    "lost_lines",
    "request_settings",
]
