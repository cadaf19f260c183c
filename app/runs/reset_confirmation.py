"""What is answered to a user who begins a session anew and says nothing else. Pure; no engine is asked."""

from __future__ import annotations

from typing import Final

from app.contract.models import CompletionUsage
from app.runs.answer import Answer
from app.runs.event import Event, finish_event, text_event
from app.runs.job import Job

CONFIRMATION: Final = "A new session has begun."


def confirmation(job: Job) -> tuple[Answer, list[Event]]:
    """Return the answer, complete, and all its events. It has cost no tokens, and says so."""
    answer = Answer.to(job.request, job.run_id)
    said = []
    for index in range(job.request.n or 1):
        said.append(answer.feed(text_event(CONFIRMATION, index=index, more=True)))
        said.append(answer.feed(finish_event("stop", index=index, more=True)))
    answer.usage = CompletionUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
    return answer, [*(event for event in said if event is not None), *answer.complete()]
