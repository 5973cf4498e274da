// One instance of a series: where it lies in the patient and how its stored values become grey (PS3.3 C.7.6.2, C.11).

export const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const clamp = (number, low, high) => Math.min(Math.max(number, low), high);

const value = (header, tag) => header[tag]?.Value?.[0];
const values = (header, tag) => header[tag]?.Value ?? [];

// The letter of the patient's side to which a vector points; coordinates grow to the left, posterior and superior.
export function side(vector) {
  const axis = [0, 1, 2].reduce((best, i) => (Math.abs(vector[i]) > Math.abs(vector[best]) ? i : best), 0);
  return (vector[axis] > 0 ? "LPS" : "RAI")[axis];
}

export function describePosition(millimetres, normal) {
  const signed = normal.map((part) => part * (millimetres < 0 ? -1 : 1));
  return `${side(signed)} ${Math.abs(millimetres).toFixed(1)} mm`;
}

export async function reasonOf(response) {
  const problem = await response.json().catch(() => ({}));
  return [problem.detail ?? `HTTP ${response.status}`, problem.help].filter(Boolean).join(". ");
}

export class Slice {
  constructor(header) {
    this.uid = value(header, "00080018");
    this.number = value(header, "00200013") ?? 0;
    this.rows = value(header, "00280010");
    this.columns = value(header, "00280011");
    this.bytes = value(header, "00280100") / 8;
    this.stored = value(header, "00280101") ?? value(header, "00280100");
    this.signed = value(header, "00280103") === 1;
    this.inverted = value(header, "00280004") === "MONOCHROME1";
    this.slope = value(header, "00281053") ?? 1;
    this.intercept = value(header, "00281052") ?? 0;
    this.window = [value(header, "00281050"), value(header, "00281051")];
    this.frameOfReference = value(header, "00200052");
    const [between, across] = values(header, "00280030").concat(1, 1);
    this.aspect = (this.rows * between) / (this.columns * across);
    const [origin, directions] = [values(header, "00200032"), values(header, "00200037")];
    this.isPlaced = origin.length === 3 && directions.length === 6;
    this.along = directions.slice(0, 3);
    this.down = directions.slice(3);
    this.center = this.isPlaced && origin.map((start, i) =>
      start + (this.along[i] * across * (this.columns - 1) + this.down[i] * between * (this.rows - 1)) / 2);
    this.pixels = null;
  }

  static problem(header) {
    if ((value(header, "00280008") ?? 1) > 1) return "Multi-frame instances cannot be shown here.";
    if (value(header, "00280002") !== 1 || ![8, 16].includes(value(header, "00280100")) || !header["7FE00010"]) {
      return "This series has no grey images of 8 or 16 bits.";
    }
    return "";
  }

  async load(seriesPath) {
    this.loading ??= fetch(`${seriesPath}/instances/${this.uid}/frames/1`, {
      headers: { Accept: 'multipart/related; type="application/octet-stream"' },
    }).then(async (response) => {
      if (!response.ok) throw new Error(await reasonOf(response));
      const body = await response.arrayBuffer();
      const start = new TextDecoder("latin1").decode(body.slice(0, 1024)).indexOf("\r\n\r\n") + 4;
      const data = body.slice(start, start + this.rows * this.columns * this.bytes);
      this.pixels = this.bytes === 2 ? new Uint16Array(data) : new Uint8Array(data);
    });
    await this.loading;
  }

  // From the bits of a stored value to its value after Modality LUT; unused high bits may hold overlays.
  valueOf(bits) {
    const used = bits & (2 ** this.stored - 1);
    const number = this.signed && used >= 2 ** (this.stored - 1) ? used - 2 ** this.stored : used;
    return number * this.slope + this.intercept;
  }

  // Grey levels of all stored values under a linear window (PS3.3 C.11.2.1.2.1).
  greys(center, width) {
    const table = new Uint8ClampedArray(2 ** (8 * this.bytes));
    const range = Math.max(width - 1, 1e-6);
    for (let bits = 0; bits < table.length; bits += 1) {
      const grey = ((this.valueOf(bits) - (center - 0.5)) / range + 0.5) * 255;
      table[bits] = this.inverted ? 255 - clamp(grey, 0, 255) : grey;
    }
    return table;
  }
}
