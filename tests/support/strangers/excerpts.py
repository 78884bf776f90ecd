"""Excerpts of real public data sets, of some forty rows each, as they are written at their source."""

from pathlib import Path
from typing import Any

from tests.support.strangers.shape import Shape

DATA = Path(__file__).parents[2] / "strangers" / "data"
CC0, CC_BY = "CC0 1.0", "CC BY 4.0"
PUBLIC, PDDL, APACHE, MIT = "public domain (U.S. government)", "ODC PDDL 1.0", "Apache-2.0", "MIT"
FIVETHIRTYEIGHT, VEGA = "FiveThirtyEight, github.com/fivethirtyeight/data", "github.com/vega/vega-datasets"
PENGUINS, FLIGHTS = "github.com/allisonhorst/palmerpenguins", "github.com/tidyverse/nycflights13"
JAFFLE, HOOKS = "github.com/dbt-labs/jaffle_shop", "github.com/octokit/webhooks"


def _excerpt(name: str, file: str, source: str, licence: str, **reading: Any) -> Shape:
    return Shape(name, file, (DATA / file).read_bytes(), source=source, licence=licence, **reading)


EXCERPTS: tuple[Shape, ...] = (
    _excerpt("films and the Bechdel test", "bechdel.csv", FIVETHIRTYEIGHT, CC_BY, missing=("#N/A",)),
    _excerpt("alcohol by country", "drinks.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("the Avengers", "avengers.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("chess transfers", "chess_transfers.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("polls", "impeachment_polls.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("foul balls", "foul_balls.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("terms of Congress", "congress_terms.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("births by day", "us_births.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("college majors", "recent_grads.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("hate crimes by state", "hate_crimes.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("national monuments", "antiquities_act.csv", FIVETHIRTYEIGHT, CC_BY, bad=(17, 39), signs=","),
    _excerpt("special investigations", "investigations.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("weather of Charlotte", "weather_charlotte.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("comic characters", "comic_characters.csv", FIVETHIRTYEIGHT, CC_BY, bad=(38,)),
    _excerpt("a survey with its questions as columns", "flying_etiquette.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("classic rock", "classic_rock.csv", FIVETHIRTYEIGHT, CC_BY),
    _excerpt("birds and aircraft", "birdstrikes.csv", f"FAA, {VEGA}", PUBLIC),
    _excerpt("employment by month", "us_employment.csv", f"BLS, {VEGA}", PUBLIC),
    _excerpt("weather of Seattle", "seattle_weather.csv", f"NOAA, {VEGA}", PUBLIC),
    _excerpt("global temperature by year", "global_temp.csv", f"NASA, {VEGA}", PUBLIC),
    _excerpt("natural disasters", "disasters.csv", f"Our World in Data, {VEGA}", CC_BY),
    _excerpt("CO2 at Mauna Loa", "co2_concentration.csv", f"Scripps CO2 Program, {VEGA}", CC_BY),
    _excerpt("ZIP codes", "zipcodes.csv", f"GeoNames, {VEGA}", CC_BY),
    _excerpt("electricity of Iowa", "iowa_electricity.csv", f"EIA, {VEGA}", PUBLIC),
    _excerpt("routes of flights", "flights_airport.csv", f"BTS, {VEGA}", PUBLIC),
    _excerpt("life expectancy (JSON)", "gapminder.json", f"Gapminder, {VEGA}", CC_BY),
    _excerpt("unemployment (JSON)", "unemployment.json", f"BLS, {VEGA}", PUBLIC),
    _excerpt("flights (JSON)", "flights_2k.json", f"BTS, {VEGA}", PUBLIC),
    _excerpt("earthquakes (GeoJSON)", "earthquakes.geojson", f"USGS, {VEGA}", PUBLIC, within="features"),
    _excerpt("penguins", "penguins.csv", PENGUINS, CC0, missing=("NA",)),
    _excerpt("penguins, raw", "penguins_raw.csv", PENGUINS, CC0, missing=("NA",)),
    _excerpt("airlines", "nyc_airlines.csv", FLIGHTS, CC0),
    _excerpt("airports", "nyc_airports.csv", FLIGHTS, CC0, missing=("NA", "\\N")),
    _excerpt("planes", "nyc_planes.csv", FLIGHTS, CC0, missing=("NA",)),
    _excerpt("weather at airports", "nyc_weather.csv", FLIGHTS, CC0, missing=("NA",)),
    _excerpt("customers of a shop", "jaffle_customers.csv", JAFFLE, APACHE),
    _excerpt("orders of a shop", "jaffle_orders.csv", JAFFLE, APACHE),
    _excerpt("payments of a shop", "jaffle_payments.csv", JAFFLE, APACHE),
    _excerpt("oil prices", "brent_daily.csv", "EIA, github.com/datasets/oil-prices", PDDL),
    _excerpt("CO2 by month", "co2_monthly.csv", "NOAA, github.com/datasets/co2-ppm", PDDL),
    _excerpt("country codes", "country_codes.csv", "github.com/datasets/country-codes", PDDL),
    _excerpt("volatility by day", "vix_daily.csv", "CBOE, github.com/datasets/finance-vix", PDDL),
    _excerpt("webhooks of GitHub", "github_webhooks.jsonl", HOOKS, MIT),
)
