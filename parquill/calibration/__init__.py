"""What earlier runs of a job tell the next one: usage records and the saved estimate."""

from parquill.calibration.learned import CalibrationData
from parquill.calibration.saved_estimate import SavedEstimate

__all__ = [
    "CalibrationData",
    "SavedEstimate",
]
