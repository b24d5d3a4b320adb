"""What is set aside for a request, by an estimate or as an upper bound."""

import json
from typing import Any

from routing.fakes import snapshot
from routing.metering_values import (
    COMPLETIONS,
    EMBEDDINGS,
    PRICES,
    TYPED,
    asked,
    at,
    chain,
    limit,
    model,
)

from meshgate.config.snapshot import Model
from meshgate.dialects.answers import RequestHead
from meshgate.dialects.neutral import Usage
from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LARGEST_COST_NANOS
from meshgate.pricing.prices import Prices, Tier
from meshgate.routing.demand import MEDIA_ALLOWANCE, STRICT_OUTPUT_TOKENS, Demands
from meshgate.routing.question import Question
from meshgate.tokens.estimating import BYTES_PER_TOKEN, OUTPUT_MARGIN, OUTPUT_TOKENS, Estimator
from meshgate.v1 import chat_pb2, gateway_service_pb2

BODY = b"x" * 300
USUAL_INPUT = int(300 / BYTES_PER_TOKEN)
USUAL_OUTPUT = int(OUTPUT_TOKENS * OUTPUT_MARGIN)
DEAREST = Prices(5_000_000_000, 5_000_000_000, 5_000_000_000, 10_000_000_000)


def demands(*models: Model) -> Demands:
    configured = snapshot(*(models or (model("m", at("one")),)))
    return Demands(Estimator(), lambda: configured)


def of(question: Question, *models: Model) -> Any:
    return demands(*models).of(question, question.principal.chains)


def body_of(*parts: dict[str, Any]) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": parts}]}).encode()


class TestCountsOfTokens:
    def test_nothing_is_held_but_a_request_whatever_its_length(self) -> None:
        limits = chain(limit("tokens", 10), limit("cost", 10, "strict"), limit("requests", 5))
        question = asked(BODY * 100, limits, max_output_tokens=0, is_free=True)

        demand = of(question)

        assert demand.amounts == Amounts(requests=1, concurrency=1)
        assert not demand.is_strict


PICTURES = Usage(images=3, output_tokens=30, output_image_tokens=30)
PER_PICTURE = Prices(0, 0, 0, 1_000_000_000, image_nanos=40)


class TestMedia:
    def test_what_the_request_asks_for_is_held_at_the_price_of_who_is_dearest(self) -> None:
        dear = Prices(0, 0, 0, 0, image_nanos=90)
        answering = model("m", at("one", PER_PICTURE), at("two", dear))
        question = asked(BODY, chain(limit("cost", 1_000_000)), max_output_tokens=0, asked=PICTURES)

        demand = of(question, answering)

        assert demand.amounts == Amounts(1, USUAL_INPUT, 30, 30 * 1_000 + 3 * 90, 1)

    def test_under_a_strict_limit_it_is_held_too_and_nobody_is_told_to_write_less(self) -> None:
        question = asked(
            b"", chain(limit("cost", 1, "strict")), max_output_tokens=0, asked=PICTURES
        )

        demand = of(question, model("m", at("one", PER_PICTURE)))

        assert demand.is_strict
        assert demand.output_cap is None
        assert demand.amounts.cost_nanos >= 30 * 1_000 + 3 * 40

    def test_the_dearer_of_what_may_be_served_is_held(self) -> None:
        hd = Tier("hd-1024x1792", Prices(0, 0, 0, 0, image_nanos=120))
        prices = Prices(0, 0, 0, 0, image_nanos=40, tiers=(hd,))
        held = [
            of(
                asked(
                    BODY,
                    chain(limit("cost", 1_000_000)),
                    max_output_tokens=0,
                    service_tier=tier,
                    asked=Usage(images=1),
                ),
                model("m", at("one", prices)),
            ).amounts.cost_nanos
            for tier in ("standard-1024x1024", "hd-1024x1792")
        ]

        assert held == [40, 120]


class TestEstimates:
    def test_a_request_is_held_as_long_as_its_like_usually_are(self) -> None:
        demand = of(asked(BODY, chain(limit("tokens", 1_000_000))))

        assert demand.amounts == Amounts(1, USUAL_INPUT, USUAL_OUTPUT, 0, 1)
        assert demand.output_cap is None

    def test_no_more_is_held_than_the_caller_will_take_in_all_choices(self) -> None:
        demand = of(asked(BODY, chain(limit("tokens", 1_000_000)), max_output_tokens=10, choices=3))

        assert demand.amounts.output_tokens == 30

    def test_money_is_held_for_who_is_dearest_of_all_that_may_answer(self) -> None:
        models = (
            model("m", at("one"), at("two", PRICES), fallbacks=("n",)),
            model("n", at("three", DEAREST)),
        )

        demand = of(asked(BODY, chain(limit("cost", 10**12))), *models)

        assert demand.amounts.cost_nanos == USUAL_INPUT * 5_000 + USUAL_OUTPUT * 10_000

    def test_fallbacks_that_lead_back_are_looked_at_once(self) -> None:
        models = (model("m", at("one"), fallbacks=("n",)), model("n", at("two"), fallbacks=("m",)))

        demand = of(asked(BODY, chain(limit("cost", 10**12))), *models)

        assert demand.amounts.cost_nanos == USUAL_INPUT * 1_000 + USUAL_OUTPUT * 2_000

    def test_without_a_limit_on_money_none_is_held(self) -> None:
        demand = of(asked(BODY, chain(limit("tokens", 1_000_000))))

        assert demand.amounts.cost_nanos == 0

    def test_where_nobody_has_a_price_no_money_is_held(self) -> None:
        demand = of(asked(BODY, chain(limit("cost", 10**12))), model("m", at("one", None)))

        assert demand.amounts.cost_nanos == 0

    def test_a_small_limit_on_tokens_still_lets_a_short_answer_in(self) -> None:
        demand = of(asked(BODY, chain(limit("tokens", USUAL_INPUT + 20))))

        assert demand.amounts.output_tokens == 20

    def test_a_small_limit_on_output_still_lets_a_short_answer_in(self) -> None:
        demand = of(asked(BODY, chain(limit("output_tokens", 5))))

        assert demand.amounts.output_tokens == 5

    def test_a_small_budget_still_lets_a_short_answer_in(self) -> None:
        budget = USUAL_INPUT * 1_000 + 7 * 2_000 + 1_999

        demand = of(asked(BODY, chain(limit("cost", budget))))

        assert demand.amounts.output_tokens == 7
        assert demand.amounts.cost_nanos <= budget

    def test_a_soft_limit_makes_nothing_smaller(self) -> None:
        soft = chain(limit("tokens", 1, "soft"), limit("cost", 1, "soft"))

        assert of(asked(BODY, soft)).amounts.output_tokens == USUAL_OUTPUT

    def test_a_limit_that_is_smaller_than_the_question_leaves_room_for_nothing(self) -> None:
        demand = of(asked(BODY, chain(limit("tokens", 10))))

        assert demand.amounts.output_tokens == 1

    def test_embeddings_write_nothing(self) -> None:
        question = asked(
            BODY, chain(limit("tokens", 1_000)), dialect=EMBEDDINGS, max_output_tokens=0
        )

        assert of(question).amounts.output_tokens == 0

    def test_more_costs_what_it_costs_at_the_dearest(self) -> None:
        assert demands().more_output(RequestHead("m"), 100, 10) == Amounts(0, 0, 100, 200_000, 0)


class TestUpperBounds:
    def test_each_byte_may_be_a_token(self) -> None:
        demand = of(asked(BODY, chain(limit("tokens", 1_000_000, "strict"))))

        assert demand.is_strict
        assert demand.amounts.input_tokens == len(BODY)

    def test_an_answer_without_a_bound_gets_one_for_each_choice(self) -> None:
        demand = of(asked(BODY, chain(limit("tokens", 1_000_000, "strict")), choices=3))

        assert demand.output_cap == STRICT_OUTPUT_TOKENS
        assert demand.amounts.output_tokens == 3 * STRICT_OUTPUT_TOKENS

    def test_a_bound_of_the_callers_own_is_held_and_passed_on(self) -> None:
        question = asked(
            BODY, chain(limit("tokens", 1_000_000, "strict")), max_output_tokens=50, choices=2
        )

        demand = of(question)

        assert demand.output_cap == 50
        assert demand.amounts.output_tokens == 100

    def test_a_limit_smaller_than_the_usual_bound_lowers_it(self) -> None:
        demand = of(asked(BODY, chain(limit("tokens", 1_000, "strict")), choices=2))

        assert demand.output_cap == 350
        assert demand.amounts.output_tokens == 700

    def test_a_bound_that_no_window_allows_is_lowered(self) -> None:
        question = asked(BODY, chain(limit("tokens", 1_000, "strict")), max_output_tokens=10_000)

        assert of(question).output_cap == 700

    def test_a_budget_lowers_the_bound(self) -> None:
        budget = 300 * 1_000 + 9 * 2_000 + 1

        demand = of(asked(BODY, chain(limit("cost", budget, "strict"))))

        assert demand.output_cap == 9
        assert demand.amounts.cost_nanos == 300 * 1_000 + 9 * 2_000

    def test_one_strict_limit_among_others_makes_all_of_it_a_bound(self) -> None:
        others = chain(limit("tokens", 1_000_000)), chain(limit("cost", 10**12, "strict"))

        assert of(asked(BODY, *others)).is_strict

    def test_a_strict_limit_on_requests_bounds_no_answer(self) -> None:
        demand = of(asked(BODY, chain(limit("requests", 10, "strict"))))

        assert demand.output_cap is None

    def test_embeddings_are_told_no_bound(self) -> None:
        question = asked(
            BODY, chain(limit("tokens", 1_000, "strict")), dialect=EMBEDDINGS, max_output_tokens=0
        )

        demand = of(question)

        assert demand.output_cap is None
        assert demand.amounts == Amounts(1, len(BODY), 0, 0, 1)

    def test_a_picture_takes_more_than_its_bytes(self) -> None:
        body = body_of({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}})

        demand = of(asked(body, chain(limit("tokens", 10**9, "strict"))))

        assert demand.amounts.input_tokens == len(body) + 765 * MEDIA_ALLOWANCE

    def test_a_picture_cannot_hide_behind_escapes(self) -> None:
        body = body_of({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}})
        hidden = body.replace(b"image", b"\\u0069mage")

        demand = of(asked(hidden, chain(limit("tokens", 10**9, "strict"))))

        assert demand.amounts.input_tokens > 765 * MEDIA_ALLOWANCE

    def test_a_document_takes_more_than_the_name_that_the_upstream_knows_it_by(self) -> None:
        body = body_of({"type": "file", "file": {"file_id": "file-1"}})

        demand = of(asked(body, chain(limit("tokens", 10**9, "strict"))))

        assert demand.amounts.input_tokens == len(body) + 1500 * MEDIA_ALLOWANCE

    def test_a_picture_of_the_typed_api_takes_more_than_its_bytes_too(self) -> None:
        picture = chat_pb2.Part(image=chat_pb2.Image(uri="https://a.example/b.png"))
        message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[picture])
        body = gateway_service_pb2.ChatRequest(model="m", messages=[message]).SerializeToString()
        mine = chain(limit("tokens", 10**9, "strict"))

        demand = of(asked(body, mine, dialect=TYPED))

        assert demand.amounts.input_tokens == len(body) + 765 * MEDIA_ALLOWANCE

    def test_text_about_pictures_is_text(self) -> None:
        body = body_of({"type": "text", "text": "an image, a file, some audio"})

        demand = of(asked(body, chain(limit("tokens", 10**9, "strict"))))

        assert demand.amounts.input_tokens == len(body)

    def test_what_is_held_can_always_be_counted(self) -> None:
        prices = Prices(10**15, 10**15, 10**15, 10**15)
        question = asked(
            BODY,
            chain(limit("tokens", 2**53 - 1, "strict"), limit("cost", 5, "soft")),
            max_output_tokens=2**31 - 1,
            choices=128,
        )

        demand = of(question, model("m", at("one", prices)))

        assert demand.amounts.cost_nanos == LARGEST_COST_NANOS


class TestCompletions:
    def test_prompts_in_tokens_are_no_media(self) -> None:
        body = json.dumps({"model": "m", "prompt": list(range(100))}).encode()
        question = asked(
            body, chain(limit("tokens", 1_000_000, "strict")), dialect=COMPLETIONS, choices=2
        )

        demand = of(question)

        assert demand.amounts.input_tokens == Estimator().input_upper_bound(len(body))
        assert demand.amounts.output_tokens == 2 * STRICT_OUTPUT_TOKENS


class TestConfiguration:
    def test_new_prices_count_with_the_new_configuration(self) -> None:
        configured = snapshot(model("m", at("one")))
        demands = Demands(Estimator(), lambda: configured)
        question = asked(BODY, chain(limit("cost", 10**12)))
        before = demands.of(question, question.principal.chains)

        configured = snapshot(model("m", at("one", DEAREST)), revision="r2")
        after = demands.of(question, question.principal.chains)

        assert after.amounts.cost_nanos == before.amounts.cost_nanos * 5
