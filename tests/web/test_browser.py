"""A bundle in headless Chromium answers as the desktop does, and talks to nobody else."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from edge_targets.runtime.contract import Manifest, Profile, Record
from edge_targets.runtime.profiler import Profiler
from tests.web.conftest import Digits, serving, tensor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
