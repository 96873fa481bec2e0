"""A real browser walks file -> species -> fit -> amounts -> export, on loopback alone."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

import workbench as wb

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a small S 2p series and a Raman map."""
    path = tmp_path_factory.mktemp("app")
    history = wb.plating().isel(time=slice(30, 36))
    wb.save(wb.simulate("xps", history, settings={"region": "S 2p"}), path / "s2p.nc")
    wb.save(wb.simulate("raman", settings={"size": 6}), path / "map.nc")
    return path


@pytest.fixture(scope="module")
def address(folder):
    """Serve the app on a free port; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "apps.launch", "app", str(folder), "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        url = f"http://127.0.0.1:{port}/"
        for _ in range(240):
            try:
                urllib.request.urlopen(url, timeout=1)
                break
            except OSError:
                time.sleep(0.25)
        else:
            server.terminate()
            pytest.fail(f"the app did not start: {server.stdout.read()}")
        yield url
        server.terminate()


@pytest.fixture
def page(address, chromium_path):
    """A page on the app; fails the test on a script error or a request that leaves loopback."""
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=quiet)
        tab = browser.new_page(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
        tab.set_default_timeout(60_000)
        asked: list[str] = []
        faults: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.goto(address)
        tab.locator(".message").get_by_text("Open a file to start").wait_for()
        yield tab
        browser.close()
    outside = [u for u in asked if re.match(r"https?|wss?", u) and "127.0.0.1" not in u]
    assert outside == []
    assert faults == []


def go(page, name):
    page.locator(".bk-tab").get_by_text(name, exact=True).click()


def open_file(page, name):
    page.locator(".pick-file select").select_option(name)
    page.locator(".open-file button").click()
    page.locator(".message").get_by_text(f"opened {name}").wait_for()


def choose(page, *species):
    go(page, "Species")
    widget = page.locator(".species")
    for name in species:
        box = widget.locator("input").first
        box.click()
        box.fill(name)
        widget.locator(".choices__list--dropdown").get_by_text(name, exact=True).first.click()
        widget.locator(".choices__list--multiple").get_by_text(name).wait_for()
    page.mouse.click(1380, 980)
    page.locator(".propose button").click()
    page.locator(".message").get_by_text("components proposed").wait_for()


def fit(page, spectra):
    go(page, "Fit")
    page.locator(".fit button").click()
    page.locator(".message").get_by_text(f"{spectra} spectra fitted").wait_for()


def test_file_species_fit_map_export_and_the_command_line_agrees(page, folder, tmp_path):
    open_file(page, "s2p.nc")
    choose(page, "Li6PS5Cl", "Li2S")
    fit(page, 6)
    page.locator(".fitted").get_by_text("6 spectra, 0 flagged").wait_for()
    go(page, "Amounts")
    page.locator(".amounts").get_by_text("Li6PS5Cl").wait_for()
    go(page, "Export")
    saved = {}
    for kind in ("recipe", "result", "table", "report"):
        with page.expect_download() as download:
            page.locator(f".get-{kind} a").click()
        saved[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[kind])
    command = [sys.executable, "-m", "apps.launch", "fit", str(folder / "s2p.nc"), "--recipe",
               str(saved["recipe"]), "-o", str(tmp_path / "again.nc")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours, theirs = wb.load(saved["result"]), wb.load(tmp_path / "again.nc")
    np.testing.assert_array_equal(ours["value"], theirs["value"])
    np.testing.assert_array_equal(ours["stderr"], theirs["stderr"])
    assert "Li2S" in saved["table"].read_text()
    assert saved["report"].read_text().startswith("<!doctype html>")


def test_species_are_suggested_from_the_spectrum(page):
    open_file(page, "s2p.nc")
    go(page, "Species")
    page.get_by_placeholder("Li P S Cl", exact=True).fill("Li P S Cl")
    page.get_by_placeholder("Li6PS5Cl, Li").fill("Li6PS5Cl, Li")
    page.locator(".suggest button").click()
    page.locator(".suggestion").get_by_text("Li2S: certain").wait_for()
    chosen = page.locator(".species .choices__list--multiple")
    chosen.get_by_text("Li2S").wait_for()
    chosen.get_by_text("Li6PS5Cl").wait_for()
    page.locator(".propose button").click()
    page.locator(".message").get_by_text("components proposed").wait_for()


def test_a_peak_of_ones_own_is_fitted_in_a_chosen_range(page):
    def fill(field, value):
        page.locator(f"{field} input").fill(value)
        page.locator(f"{field} input").press("Tab")

    open_file(page, "s2p.nc")
    go(page, "Correct")
    page.get_by_text("fit only a range").click()
    fill(".range-from", "158.5")
    fill(".range-to", "166")
    page.locator(".set-range button").click()
    page.get_by_text("fitted: binding energy 158.5 to 166").wait_for()
    go(page, "Species")
    page.get_by_text("peaks of your own").click()
    fill(".own-name", "thiophosphate")
    fill(".own-center", "161.2")
    fill(".own-fwhm", "2")
    fill(".own-splitting", "1.18")
    page.locator(".add-peak button").click()
    page.locator(".message").get_by_text("thiophosphate added").wait_for()
    page.locator(".add-ground button").click()
    page.locator(".message").get_by_text("ground added").wait_for()
    fit(page, 6)
    row = page.locator(".values tr").filter(has_text="thiophosphate.center")
    told = row.locator("td").all_inner_texts()
    assert (told[3], 160.0 < float(told[1]) < 162.0) == ("ok", True), told


def test_a_recipe_typed_into_the_page_is_what_is_fitted(page):
    open_file(page, "s2p.nc")
    go(page, "Export")
    page.locator(".recipe .ace_text-input").focus()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("technique: xps\npropose: {species: [Li2S, Li6PS5Cl]}\n")
    page.locator(".use-recipe button").click()
    page.locator(".message").get_by_text("recipe taken over").wait_for()
    fit(page, 6)
    page.locator(".values").get_by_text("Li2S.center").wait_for()


def test_a_dropped_map_becomes_maps(page, folder):
    page.locator(".drop-file input").set_input_files(folder / "map.nc")
    page.locator(".message").get_by_text("opened map.nc").wait_for()
    choose(page, "Li6PS5Cl", "Li2S")
    fit(page, 36)
    go(page, "Amounts")
    page.locator(".amounts").get_by_text("Li2S").wait_for()


def test_a_bad_file_is_one_line_in_words(page, tmp_path):
    bad = tmp_path / "bad.vms"
    bad.write_bytes(b"VAMAS Surface Chemical Analysis Standard Data Transfer Format 1988 May 4\nx")
    page.locator(".drop-file input").set_input_files(bad)
    page.locator(".message").get_by_text("the file is truncated").wait_for()
