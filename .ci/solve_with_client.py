"""Uses the service through the client that openapi-python-client made from openapi.yaml: ready, solve, remember, judge, forget.

python solve_with_client.py URL PROBLEM
"""

import json
import sys
import time

from circadian_client import Client
from circadian_client.api.episodes import delete_episodes, get_deletion, get_episode, give_feedback, list_episodes
from circadian_client.api.service import get_readiness
from circadian_client.api.solve import solve
from circadian_client.models import AnswerFeedback, DeletionStatus, EpisodeStatus, Problem, ReadinessStatus, SolveRequest


def main(url: str, problem: dict[str, str]) -> None:
    with Client(base_url=url, timeout=60, raise_on_unexpected_status=True) as client:
        assert get_readiness.sync(client=client).status == ReadinessStatus.READY

        request = SolveRequest(question=problem["question"], reference=problem["answer"], seed=11)
        answer = solve.sync(client=client, body=request)
        assert not isinstance(answer, Problem), answer
        assert -1 <= answer.base.reward <= answer.reward <= 0, answer
        print(f"{problem['question']} -> {answer.answer} (expected {problem['answer']}, reward {answer.reward:.3f})")

        # The worker labels it from the reference.
        deadline = time.monotonic() + 30
        while True:
            episode = get_episode.sync(answer.episode_id, client=client)
            if episode.status == EpisodeStatus.INDEXED or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert episode.status == EpisodeStatus.INDEXED, episode
        assert episode.label == (answer.answer == problem["answer"]), episode
        relabelled = give_feedback.sync(answer.episode_id, client=client, body=AnswerFeedback(answer="no such answer"))
        assert relabelled.label is False and relabelled.label_source == "feedback", relabelled

        assert [row.id for row in list_episodes.sync(client=client).episodes] == [answer.episode_id]
        deletion = delete_episodes.sync(client=client)
        assert list_episodes.sync(client=client).episodes == []
        deadline = time.monotonic() + 30
        while deletion.status != DeletionStatus.FINISHED and time.monotonic() < deadline:
            time.sleep(0.1)
            deletion = get_deletion.sync(deletion.id, client=client)
        assert deletion.deleted.episodes == 1, deletion
        gone = get_episode.sync(answer.episode_id, client=client)
        assert isinstance(gone, Problem) and gone.code == "EPISODE_NOT_FOUND", gone

        refused = solve.sync(client=client, body=SolveRequest(question=""))
        assert isinstance(refused, Problem) and refused.errors[0].pointer == "/question", refused


main(sys.argv[1], json.loads(sys.argv[2]))
