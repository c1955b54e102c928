"""What can be measured in a study is told with the study, and with every reply."""

import json

import requests


def test_a_study_says_what_can_be_measured_in_it(server):
    known = requests.get(f"{server.url}/datastore/image/info?image=second", timeout=60).json()
    assert known["preflight"]["unit"] == "SUVbw"
    assert known["preflight"]["sentence"] == "Numbers are SUV (body weight), as the server was told."
    assert "ts" in known


def test_every_reply_says_it_too(server, lesions):
    params = {"lesion": lesions[:1], "client_id": "preflight"}
    url = f"{server.url}/infer/suv_region?image=second&output=json"
    reply = requests.post(url, data={"params": json.dumps(params)}, timeout=60).json()
    assert reply["preflight"]["possible"] == ["SUVbw"]
