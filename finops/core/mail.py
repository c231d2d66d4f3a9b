"""Mails as files, for where no server is set: one .eml each, which every mail program opens."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend


class EmlFiles(BaseEmailBackend):
    """Django's mail backend for a folder, by default EMAIL_FILE_PATH."""

    def __init__(self, file_path: str | Path | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.folder = Path(file_path or settings.EMAIL_FILE_PATH)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        for message in email_messages:
            recipient = quote(message.to[0] if message.to else "nobody", safe="@+")
            name = f"{recipient}-{time.time_ns()}.eml"
            part = self.folder / f"{name}.part"
            part.write_bytes(message.message().as_bytes())
            part.replace(self.folder / name)
        return len(email_messages)
