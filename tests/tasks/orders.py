"""Short orders with what is to be drawn from them, in words of our own."""

import json

from pydantic import BaseModel, Field

from ragkit.records import Example


class Order(BaseModel):
    product: str = Field(description="what is ordered")
    amount: int
    date: str


PRODUCTS = ["chairs", "lamps", "blue pens", "printer paper", "tea cups", "garden hoses", "bicycles"]
DATES = ["1 May", "3 June", "12 July", "Monday", "2 April", "next week"]
FORMS = [
    "Please send {amount} {product} by {date}.",
    "We need {amount} {product} on {date}",
    "order: {product}, {amount} pieces, {date}",
    "For {date} I would like {amount} {product}, thank you",
]
ORDERS = []
for number in range(16):
    fields = {"product": PRODUCTS[number % 7], "amount": number + 2, "date": DATES[number * 5 % 6]}
    ORDERS.append(Example(FORMS[number % 4].format(**fields), json.dumps(fields)))
