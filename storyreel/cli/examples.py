"""Examples of each command, for its `--help`."""

EXAMPLES = {
    "init": "storyreel init film                                # a starter in the folder film",
    "validate": "storyreel validate film/*.yaml                     # every fault of every file",
    "plan": "storyreel plan film --only morning keeper           # of film/storyboard.yaml, two "
    "scenes\n"
    "  storyreel plan film --show-requests --json",
    "run": "storyreel run film --simulate                      # rehearse film/storyboard.yaml "
    "for free\n"
    "  storyreel run film                                 # ask about the price, then render\n"
    "  storyreel run film --yes --budget 20 --force keeper",
    "batch": "storyreel batch film rows.csv --simulate           # a film for each row, for "
    "free\n"
    "  storyreel batch film rows.csv --yes --budget 60",
    "approve": "storyreel approve                                  # runs that wait for approval\n"
    "  storyreel approve amber-otter",
    "status": "storyreel status film --watch",
    "resolve": "storyreel resolve film keeper                      # the held take, and jobs that "
    "may be its own\n"
    "  storyreel resolve film keeper --adopt qvideo-123",
    "retake": "storyreel retake film keeper                       # the next run makes one more "
    "take",
    "rescue": "storyreel rescue                                   # of every workspace in ./runs\n"
    "  storyreel rescue film/storyboard.yaml",
    "report": "storyreel report film",
    "cut": "storyreel cut film",
    "models": "storyreel models --json",
    "schema": "storyreel schema > schema.json",
    "simulator": "storyreel simulator --port 8765 --speed 60",
    "up": "storyreel up film                                  # the deployments of "
    "film/prefect.yaml",
    "down": "storyreel down",
    "doctor": "storyreel doctor",
}
