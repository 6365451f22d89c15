"""Runs running.test.js, as test_pages.py runs pages.test.js."""

import os
import subprocess
import unittest

import test_pages


class Running(unittest.TestCase):
    def test_in_a_browser(self):
        lacks = test_pages.missing()
        if lacks:
            self.assertNotIn("COLEARN_NEED_BROWSER", os.environ, lacks)
            self.skipTest(lacks)
        ended = subprocess.run(
            ["node", "--test", "--test-reporter=spec", "running.test.js"],
            cwd=test_pages.FOLDER,
            env={**os.environ, "COLEARN_PROGRAMS": str(test_pages.PROGRAMS)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=test_pages.LIMIT,
        )
        print(ended.stdout)
        self.assertEqual(ended.returncode, 0, ended.stdout)


if __name__ == "__main__":
    unittest.main()
