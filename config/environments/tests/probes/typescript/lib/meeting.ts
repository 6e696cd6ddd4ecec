export class Meeting {
  private readonly waiting: (() => void)[] = []

  constructor(private readonly size: number) {}

  join(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve)
      if (this.waiting.length === this.size) for (const go of this.waiting) go()
    })
  }
}
