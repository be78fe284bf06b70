"""openai_gather.py BASE_URL IMAGES IN_FLIGHT FOLDER: the openai SDK as people use it, a task a prompt and a semaphore."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path

import openai


async def main(base_url: str, images: int, in_flight: int, folder: Path) -> None:
    """Make the images and save them."""
    semaphore = asyncio.Semaphore(in_flight)
    async with openai.AsyncOpenAI(api_key="none", base_url=base_url, timeout=600) as client:

        async def one(number: int) -> None:
            async with semaphore:
                prompt = f"A quiet harbour, number {number}"
                answer = await client.images.generate(model="gpt-image-2", prompt=prompt, n=1)
                data = answer.data or []
                (folder / f"{number:08}.png").write_bytes(base64.b64decode(data[0].b64_json or ""))

        await asyncio.gather(*(one(number) for number in range(images)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
    sys.stdout.write(json.dumps({"images": int(sys.argv[2])}) + "\n")
